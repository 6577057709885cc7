//! Every scenario in virtual time.

mod calm {
    //! On a quiet network.
    toom_tests::play_all_scenarios!(toom_tests::sim::SimulatedWorld::new(toom_tests::sim::Options::calm(1)));
}

mod rough {
    //! With long and changing delays, TCP in small pieces, and datagrams lost, reordered and duplicated.
    toom_tests::play_all_scenarios!(toom_tests::sim::SimulatedWorld::new(toom_tests::sim::Options::rough(2)));
}
