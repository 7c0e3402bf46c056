"""REST, DICOMweb and the pages."""
