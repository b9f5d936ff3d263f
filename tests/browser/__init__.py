"""The page in a real Chromium, served by the real server. Run in a pytest call of its own."""
