"""ESAD (The Visual Computer): inpaint, fill, reconstruct; specification in `docs/spec/esad.md`."""
