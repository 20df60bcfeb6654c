let b
