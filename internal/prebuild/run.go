package prebuild

import (
	"context"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/runner"
)

// Run builds items, at most parallel at once, and returns a row for each, in their order. One that fails stops no
// other. When ctx ends, the rows that are not finished have its cause.
func Run(
	ctx context.Context, items []Item, parallel int, build func(ctx context.Context, item Item) (*runner.Result, error),
) []Row {
	rows := make([]Row, len(items))
	var group errgroup.Group
	group.SetLimit(max(1, parallel))
	for i, item := range items {
		rows[i].Item = item
		group.Go(func() error {
			if ctx.Err() != nil {
				rows[i].Err = context.Cause(ctx)
				return nil //nolint:nilerr // the row has it
			}
			rows[i].Result, rows[i].Err = build(ctx, item)
			return nil
		})
	}
	_ = group.Wait()
	return rows
}

// Failed returns how many items the cache does not have.
func Failed(rows []Row) int {
	failed := 0
	for _, row := range rows {
		if row.Err != nil {
			failed++
		}
	}
	return failed
}
