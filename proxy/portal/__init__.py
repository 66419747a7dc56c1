"""The web pages where people make, see and revoke their own app passwords."""
