"""Images and masks: reading, framing for a network, the manifest, the store of decoded images."""
