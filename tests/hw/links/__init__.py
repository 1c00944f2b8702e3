"""Links: URIs, matching of answers, CAN and DoIP against peers that record what they received."""
