"""The only talker to exchanges: signals become orders exactly once."""
