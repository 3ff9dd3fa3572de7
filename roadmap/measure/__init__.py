"""What a network costs: complexity, throughput and memory, receptive field."""
