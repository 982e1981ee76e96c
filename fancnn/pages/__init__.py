"""What the HTML pages share: template, figure style, image panels, numbers in words; no torch."""
