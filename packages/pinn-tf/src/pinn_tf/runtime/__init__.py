"""The installed framework and the devices of this machine."""
