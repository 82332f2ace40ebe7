"""Real servers, browsers and yardsticks that tests and benchmarks drive; it knows neither of them."""
