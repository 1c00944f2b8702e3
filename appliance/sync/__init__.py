"""What kits and workshops say to each other: records, receipts, and how requests are signed."""
