"""ESAD (The Visual Computer): inpaint, fill, reconstruct; specification in `methods/esad.md`."""
