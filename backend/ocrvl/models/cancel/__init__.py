"""`cancel`: ends a running request by the token that its caller chose."""
