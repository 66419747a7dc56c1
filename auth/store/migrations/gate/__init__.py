"""The history of the file that authorises."""
