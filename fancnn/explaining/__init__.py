"""What a network looks at: heat maps, feature maps, and pictures that please a filter; torch only."""
