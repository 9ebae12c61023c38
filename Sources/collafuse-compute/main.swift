print("collafuse-compute")
