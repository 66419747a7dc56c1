"""Sign-in kind `oauth2`: a provider gives short-lived access tokens for a refresh token that is kept sealed.

Here a provider is asked, and an account is authorised for the first time. The one HTTP client that leaves
this machine lives here too. How a mail server is shown a token is `sign_in`; what is stored is
`auth.oauth_tokens`.
"""
