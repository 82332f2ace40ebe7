"""The occupants of pools' workers, and of devices, while others were in the queue. Pure."""
