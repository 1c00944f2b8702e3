"""Jobs, their event chains, and what leaves the kit of them: exports and the PDF report."""
