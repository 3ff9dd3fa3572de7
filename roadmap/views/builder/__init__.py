"""The Builder page: compose one or two networks, see their costs, measure, download."""
