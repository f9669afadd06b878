"""How anything outside a worker speaks to Temporal about changes. Nothing here draws on a terminal."""
