"""Pure: who occupied the workers of pools, and devices, while others were queued for them."""
