package v1alpha1

import "time"

// defaultRetentionDays is the API server's default for retentionDays. Objects that the API server has not read, as in
// tests, may lack it.
const defaultRetentionDays = 30

// RetentionInDays returns for how many days after their publication the project's images live.
func (s *ProjectImageCacheSpec) RetentionInDays() int32 {
	if s.RetentionDays == nil {
		return defaultRetentionDays
	}
	return *s.RetentionDays
}

// Retention returns how long the project's images live after their publication.
func (s *ProjectImageCacheSpec) Retention() time.Duration {
	return time.Duration(s.RetentionInDays()) * 24 * time.Hour
}
