package pool

// limitsMemory says that max_memory works here.
const limitsMemory = true
