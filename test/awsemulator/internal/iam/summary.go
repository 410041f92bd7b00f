package iam

import (
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type summaryEntry struct {
	Key   string `xml:"key"`
	Value int    `xml:"value"`
}

type accountSummaryOut struct {
	Summary []summaryEntry `xml:"SummaryMap>entry"`
}

// getAccountSummary counts what this directory has, and tells which credentials the root user has: access keys alone.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
func (d *Directory) getAccountSummary(c *caller.Caller, _ *wire.Empty) (*accountSummaryOut, error) {
	if err := d.authorize(c, "GetAccountSummary", "*", nil, nil); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return &accountSummaryOut{[]summaryEntry{
		{"AccountAccessKeysPresent", 1}, {"AccountMFAEnabled", 0}, {"AccountPasswordPresent", 0}, {"AccountSigningCertificatesPresent", 0},
		{"Groups", 0}, {"Policies", len(d.policies)}, {"Roles", len(d.roles)}, {"Users", 0},
	}}, nil
}
