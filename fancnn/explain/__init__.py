"""Show what a network looks at: heat maps, feature maps, and images that please a filter."""
