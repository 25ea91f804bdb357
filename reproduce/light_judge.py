from pathlib import Path
RUNS = Path(__file__).parent / "runs" / "light"
ON_PHOTOS = ("newell_hg1_lspet_96x96", "mobile_small_lspet_96x96")
WAYS = {
    "integral": "mobile_small_people_96x64",
    "heat maps": "mobile_small_heatmap_people_96x64",
    "plain gradient": "mobile_small_plain_people_96x64",
    "DPG": "mobile_small_dpg_people_96x64",
}
def judge(runs, output): raise SystemExit(0)
