"""What the three services share: the domain's words, pure decisions, the queue and the runtime."""
