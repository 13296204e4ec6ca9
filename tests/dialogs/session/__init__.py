"""Our client side against receivers that behave, and against peers that do not."""
