"""A futures exchange to practise on; it shares no code with the clients it judges."""
