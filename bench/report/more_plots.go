package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// extras are the plots of the suite's own and of its cases, with a legend each.
func (s *Suite) extras() ([]figure, error) {
	var out []figure
	add := func(prefix string, plots []Plot) error {
		for i := range plots {
			p := &plots[i]
			if p.empty() {
				continue
			}
			f, err := p.figure()
			if err != nil {
				return fmt.Errorf("plot %s: %w", p.Title, err)
			}
			if p.Subject != "" {
				f.Title += ", " + p.Subject
			}
			f.Title = prefix + f.Title
			out = append(out, f)
		}
		return nil
	}
	if err := add("", s.Plots); err != nil {
		return nil, err
	}
	for _, c := range s.Cases {
		if err := add(c.Name+": ", c.Plots); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// empty tells whether there is nothing to see: no point above 0, or only one.
func (p *Plot) empty() bool {
	if p.Kind == Curves && !slices.ContainsFunc(p.Series, func(s Series) bool { return min(len(s.X), len(s.Y)) > 1 }) {
		return true
	}
	return len(p.Series) > 0 && !slices.ContainsFunc(p.Series, func(s Series) bool {
		return slices.ContainsFunc(s.Y, func(y float64) bool { return y > 0 || y < 0 })
	})
}

func (p *Plot) figure() (figure, error) {
	canvas := plot.New()
	canvas.X.Label.Text, canvas.Y.Label.Text = p.X, p.Y
	canvas.Y.Min, canvas.X.Min = 0, 0
	canvas.Add(plotter.NewGrid())
	f := figure{Title: p.Title, Keys: []key{}}
	for i, line := range p.Series {
		f.Keys = append(f.Keys, key{line.Name, hex(colour(i))})
	}
	var err error
	switch p.Kind {
	case Curves:
		err = p.curves(canvas)
	case Bars, Stacked:
		p.bars(canvas)
	default:
		err = fmt.Errorf("no kind %q", p.Kind)
	}
	if err != nil {
		return f, err
	}
	canvas.Y.Max = max(canvas.Y.Max, 1e-9) * 1.1
	f.SVG, err = render(canvas, wide, 8*vg.Centimeter)
	return f, err
}

func (p *Plot) curves(canvas *plot.Plot) error {
	for i, s := range p.Series {
		var xy plotter.XYs
		for j := range min(len(s.X), len(s.Y)) {
			if !math.IsNaN(s.Y[j]) {
				xy = append(xy, plotter.XY{X: s.X[j], Y: s.Y[j]})
			}
		}
		if len(xy) == 0 {
			continue
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return err
		}
		line.LineStyle = draw.LineStyle{Color: colour(i), Width: vg.Points(1.5)}
		canvas.Add(line)
	}
	return nil
}

func (p *Plot) bars(canvas *plot.Plot) {
	below := make([]float64, len(p.Names))
	width := 0.8 / float64(max(len(p.Series), 1))
	for i, s := range p.Series {
		set := &barSet{fill: colour(i), width: width * 0.9, offset: -0.4 + width*(float64(i)+0.5)}
		if p.Kind == Stacked {
			set.width, set.offset = 0.6, 0
		}
		for j := range p.Names {
			b := bar{mid: math.NaN()}
			if j < len(s.Y) && !math.IsNaN(s.Y[j]) {
				b = bar{mid: s.Y[j], plain: true}
				if p.Kind == Stacked {
					b.base = below[j]
					b.mid += b.base
					below[j] = b.mid
				}
				canvas.Y.Max = max(canvas.Y.Max, b.mid)
			}
			set.bars = append(set.bars, b)
		}
		canvas.Add(set)
	}
	names := make([]string, len(p.Names))
	for i, n := range p.Names {
		names[i] = folded(n, 12)
	}
	canvas.NominalX(names...)
	canvas.X.Min, canvas.X.Max = -0.5, float64(len(p.Names))-0.5
}

// colour of the i-th series. Past the palette's end it begins again, paler.
func colour(i int) color.RGBA {
	c := palette[i%len(palette)]
	for range i / len(palette) {
		c.R, c.G, c.B = c.R/2+127, c.G/2+127, c.B/2+127
	}
	return c
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }
