"""The only HTTP door: users, webhooks, REST."""
