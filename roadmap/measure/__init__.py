"""Measurements of networks: complexity, throughput, memory and receptive field."""
