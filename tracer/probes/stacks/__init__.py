"""Who looks at stacks and thread states from beside: the watchdog and the sampler."""
