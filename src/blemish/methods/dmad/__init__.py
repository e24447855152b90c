"""DMAD (CVPR 2023), industrial version. The specification's sections are named where followed."""
