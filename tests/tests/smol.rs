//! Every scenario over real sockets, with everything on `smol`.

toom_tests::play_all_scenarios!(toom_tests::real::RealWorld::new(toom_tests::real::Runtimes::SMOL));
