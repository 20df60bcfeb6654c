upload
