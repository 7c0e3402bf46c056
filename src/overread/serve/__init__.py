"""For other machines and for people: the store, the web page, REST, DICOMweb and the DICOM node."""
