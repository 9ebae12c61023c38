print("collafuse")
