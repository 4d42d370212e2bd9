// Command bench measures what Gatehouse costs, as ratios to stock Caddy.
//
//	go run ./integration/bench [-rounds 5] [-seconds 3] [-only h1,tls] [-o table.md]
//
// It builds stock Caddy (stock/main.go), Gatehouse without a profile and
// Gatehouse as shipped, and starts each with the same upstream behind it. Every
// run of a contestant has a run of stock Caddy under the same load beside it, in
// alternating order, and the table shows the median of the ratios with the
// lowest and the highest. Each contestant must first refuse what it has to
// refuse.
//
// The first read of a tenant of 100,000 devices comes last, with its calls, duration
// and memory per source (-only cold).
//
// CPU is user and system time of the proxy's process, and of its authoriser
// where it needs one, from /proc. Where `perf stat` can count instructions of
// another process, they are shown too: they repeat far better than time.
// Upstream and load generator are processes of their own and are not counted.
//
// Start reading at main.go; contestant.go says what is compared, load.go how; cold.go
// reads a tenant.
// Nothing outside this directory may import it.
package main
