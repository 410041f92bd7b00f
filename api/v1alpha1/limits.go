package v1alpha1

import "time"

// Values of markers that code needs too. A marker can't name a constant.
const (
	// DefaultRetentionDays is the default of spec.retentionDays of a ProjectImageCache.
	DefaultRetentionDays = 30
	// MaxMessage is the greatest length of a message or explanation, in characters.
	MaxMessage = 1024
)

// RetentionDays returns for how many days after their publication a project's images stay.
func (p *ProjectImageCache) RetentionDays() int32 {
	if p.Spec.RetentionDays == nil {
		return DefaultRetentionDays
	}
	return *p.Spec.RetentionDays
}

// Retention returns how long after their publication a project's images stay.
func (p *ProjectImageCache) Retention() time.Duration {
	return time.Duration(p.RetentionDays()) * 24 * time.Hour
}
