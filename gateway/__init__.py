"""The only HTTP of the system: users, accounts, the webhook, and what came of it."""
