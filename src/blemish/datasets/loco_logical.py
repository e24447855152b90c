"""loco-logical: MVTec LOCO AD with its logical anomalies alone."""

from blemish.datasets.layouts.loco_archive import loco_data_set

DATA_SET = loco_data_set("loco-logical", "MVTec LOCO AD, logical only", ("logical",))
