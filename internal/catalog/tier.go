package catalog

import "imagecache.dev/api/v1alpha1"

// CannotSwitchOff returns why the cache of a runner can't be switched off on a tier, or "" if it can. The API server
// refuses it by a rule of the type.
func CannotSwitchOff(tier v1alpha1.Tier) string {
	if tier == v1alpha1.TierCore || tier == v1alpha1.TierEnterprise {
		return ""
	}
	return "the cache can be switched off on the tiers Core and Enterprise only, and this runner is on the tier Free"
}
