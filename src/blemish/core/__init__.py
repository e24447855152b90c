"""What everything rests on: parameters, errors, files, progress, the device, the code digest."""
