package v1alpha1

// MaxMessage is the greatest length of a message or explanation, in characters. Markers repeat it, because they can't
// name a constant.
const MaxMessage = 1024
