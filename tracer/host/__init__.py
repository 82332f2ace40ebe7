"""What is read from the host: its code, objects, threads and clocks. Nothing here changes or keeps any of it."""
