# SPDX-License-Identifier: MIT
"""Guests that run together: started, watched, listed, stopped, cleaned up after."""
